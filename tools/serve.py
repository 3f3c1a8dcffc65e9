"""Serve a page on this machine that predicts what changed between two images.

    python tools/serve.py [[CONFIG] CHECKPOINT] [options] [-- options of tools/predict.py]

The same as the command tfinet serve.
"""

from tfinet_mm.integrations.serve.command import command

if __name__ == '__main__':
    command()
