"""Give untrained networks predictions that differ from pixel to pixel."""

import torch


def lively(network, bands=3, seed=0):
    """Give a network batch statistics, and classifiers of which every class wins somewhere."""
    draw = torch.Generator().manual_seed(seed)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.copy_(0.1 * torch.randn(layer.num_features, generator=draw))
            layer.running_var.copy_(0.5 + torch.rand(layer.num_features, generator=draw))
    network.eval().requires_grad_(False)
    logits = network.encode_decode(torch.randn(2, 2 * bands, 128, 128, generator=draw))
    for head, made in ((network.semantic_head, logits[0]), (network.change_head, logits[2])):
        last, spread = head.conv_seg, 1 / made.std((0, 2, 3))
        if isinstance(last, torch.nn.Conv2d) and last.out_channels == len(spread):
            last.weight *= spread.view(-1, 1, 1, 1)
            last.bias.sub_(made.mean((0, 2, 3))).mul_(spread)
    return network
