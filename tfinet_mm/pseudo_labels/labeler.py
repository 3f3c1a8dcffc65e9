"""Run trained networks over a data set and write pseudo labels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_reduce, barrier, get_dist_info
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader
from tqdm import tqdm

from tfinet_mm.engine.precision import used_precision
from tfinet_mm.errors import ClassMismatchError, LabelFormatError, ManifestError
from tfinet_mm.models.detectors.augmentation import check_transforms
from tfinet_mm.models.identity import member_entries
from tfinet_mm.pseudo_labels.counts import Counts
from tfinet_mm.pseudo_labels.layout import (
    CONFIDENCE_FOLDERS,
    DATES,
    LABEL_FOLDERS,
    MANIFEST_FILE,
    PREDICTION_FOLDER,
    REPORT_FILE,
    confidence_path,
    prediction_path,
    pseudo_label_path,
)
from tfinet_mm.pseudo_labels.pairs import Maps, PairsToLabel
from tfinet_mm.pseudo_labels.predictions import (
    METHODS,
    Prediction,
    predict_pairs,
    read_prediction,
    shares,
    write_prediction,
)
from tfinet_mm.pseudo_labels.report import make_report
from tfinet_mm.pseudo_labels.rules import LEVELS, fill, keep
from tfinet_mm.pseudo_labels.selection import Selection, confidence_histogram
from tfinet_mm.registry import MODELS
from tfinet_mm.structures import LAND_COVER_ROLE
from tfinet_mm.utils.device import usable_device
from tfinet_mm.utils.dist import on_first_rank, one_rank_reads
from tfinet_mm.utils.files import whole_file
from tfinet_mm.utils.fingerprints import ORIGIN, content_hash, fingerprints
from tfinet_mm.utils.json_text import json_text
from tfinet_mm.utils.manifest import RunManifest, plain, read_json
from tfinet_mm.visualization import write_palette_png, write_png

PARTS = ('predictions', 'labels')
"""Parts of the manifest: inputs and options of the predictions, and options of the labels."""

DAMAGED = 'choose another folder for the pseudo labels, or remove this one'


class PseudoLabeler:
    """Make pseudo labels of a data set with the members of an ensemble.

    The networks run once over every pair, and their predictions are kept in
    ``out/predictions``. Then the labels that are sure enough are selected.
    Several processes share the pairs and write the same files as one. Finished
    predictions and labels are reused.

    Args:
        model: Config of a ``tfinet_mm.SCDEnsemble``.
        pairs: The pairs to label.
        out: Folder for labels, report and predictions.
        method: 'vote', the rule of :func:`~tfinet_mm.pseudo_labels.vote`, or
            'soft', that of :func:`~tfinet_mm.pseudo_labels.soft`.
        selection: Thresholds and quotas of 'soft'; None for its defaults.
        transforms: Test-time augmentation, names from
            :data:`~tfinet_mm.models.detectors.augmentation.TTA_TRANSFORMS`.
        confidence: Also write the confidence as 8-bit PNG.
        device: Device that networks run on; None for a GPU if there is one.
        batch_size: Pairs in a batch.
        workers: Processes that load pairs; with 0 this process loads them.

    Raises:
        ValueError: An option has an unknown value, or doesn't belong to the method.
    """

    def __init__(
        self,
        model: Mapping[str, Any],
        pairs: PairsToLabel,
        out: str | os.PathLike[str],
        method: str = 'vote',
        selection: Selection | None = None,
        transforms: Sequence[str] = ('identity',),
        confidence: bool = False,
        device: str | None = None,
        batch_size: int = 1,
        workers: int = 0,
    ) -> None:
        """See the class."""
        if method not in METHODS:
            raise ValueError(f'the method must be one of {METHODS}, got {method!r}')
        if method == 'vote' and selection is not None:
            raise ValueError(
                'the published vote has no thresholds, quotas or limit of P(changed); '
                "leave them out, or take method='soft'"
            )
        if batch_size < 1 or workers < 0:
            raise ValueError(
                f'batch_size has to be 1 or more and workers 0 or more, got {batch_size} and '
                f'{workers}'
            )
        self.model = dict(model)
        self.pairs = pairs
        self.out = Path(out)
        self.method = method
        self.selection = (selection or Selection()) if method == 'soft' else None
        if self.selection is not None:
            self.selection.to_dict(pairs.table)  # refuses unknown names of classes
        self.transforms = check_transforms(transforms)
        self.confidence = confidence
        self.device = usable_device(device or get_device())
        self.batch_size = batch_size
        self.workers = workers
        self.members: list[dict[str, Any]] = []

    def run(self, overwrite: bool = False) -> dict[str, Any]:
        """Make the missing predictions and labels.

        Args:
            overwrite: Replace results of other members or options. Predictions
                that would come out the same are reused.

        Returns:
            The report, see :func:`~tfinet_mm.pseudo_labels.report.make_report`.

        Raises:
            ManifestError: The folder holds results of other members, options or
                files and ``overwrite`` is not set; the message lists the
                differences. Or its manifest is damaged.
            FolderInUseError: Another run is writing to the folder.
            ValueError: The folder holds files that this tool didn't write.
            ClassMismatchError: The members have other classes than the data set.
            ImageFormatError, LabelFormatError, LabelValueError: A file can't be read.
        """
        with RunManifest(self.out, MANIFEST_FILE, 'pseudo labels', informative=ORIGIN) as manifest:
            prepared = on_first_rank(lambda: self._prepare(manifest, overwrite))
            if isinstance(prepared, dict):
                return prepared
            self.members, missing = prepared
            if missing:
                self._predict(missing)
            barrier()
            levels = self._levels()
            counts = self._write_labels(levels)
            return on_first_rank(lambda: self._write_report(counts, levels))

    def _wanted(self) -> dict[str, Any]:
        """Return the manifest of this run: what predictions and labels depend on."""
        return plain(
            dict(
                predictions=dict(
                    method=self.method,
                    members=member_entries(self.model['members']),
                    transforms=list(self.transforms),
                    autocast=used_precision(Config(dict(model=self.model)), str(self.device)),
                    classes=list(self.pairs.table.names),
                    pairs=dict(number=len(self.pairs), names=content_hash(self.pairs.names)),
                    pipelines=content_hash(self.pairs.pipeline_configs),
                    files=fingerprints(self.pairs.files()),
                ),
                labels=dict(
                    selection=None
                    if self.selection is None
                    else self.selection.to_dict(self.pairs.table),
                    confidence=self.confidence,
                    land_cover=fingerprints(self.pairs.truth_files()),
                ),
            )
        )

    def _prepare(
        self, manifest: RunManifest, overwrite: bool
    ) -> dict[str, Any] | tuple[list[dict[str, Any]], list[list[int]]]:
        """Lock the folder and remove results that this run replaces.

        Returns:
            The report if all is done, or the members and the batches to predict.
        """
        manifest.recall()
        wanted = self._wanted()
        report = manifest.lock_unless(lambda: self._finished(manifest, wanted, overwrite))
        if report:
            # The paths of the members may be new; a read-only folder keeps the old ones.
            with suppress(OSError):
                if manifest.read() != wanted:
                    manifest.lock()
                    manifest.write(wanted)
            return report
        found = manifest.read(PARTS, DAMAGED)
        if found is not None and manifest.differences(found, wanted):
            same = not manifest.differences(found['predictions'], wanted['predictions'])
            self._clear(keep_predictions=same)
        manifest.write(wanted)
        batches = [
            list(range(start, min(start + self.batch_size, len(self.pairs))))
            for start in range(0, len(self.pairs), self.batch_size)
        ]
        # Whole batches, since the last bits of a prediction may depend on the rest of its batch.
        missing = [
            batch
            for batch in batches
            if not all(prediction_path(self.out, self.pairs.names[i]).is_file() for i in batch)
        ]
        return wanted['predictions']['members'], missing

    def _finished(
        self, manifest: RunManifest, wanted: dict[str, Any], overwrite: bool
    ) -> dict[str, Any] | None:
        """Return the report if all is there; refuse other results unless ``overwrite`` is set."""
        found = manifest.read(PARTS, DAMAGED)
        if found is None:
            self._refuse_foreign_files()
            return None
        if not overwrite:
            manifest.check(found, wanted)
        elif manifest.differences(found, wanted):
            return None
        try:
            report = read_json(self.out / REPORT_FILE)
        except ManifestError:
            # The report is written last: without it, the run is not finished.
            return None
        return report if self._all_written() else None

    def _folders(self) -> list[Path]:
        names = (*LABEL_FOLDERS.values(), *CONFIDENCE_FOLDERS.values(), PREDICTION_FOLDER)
        return [self.out / name for name in names]

    def _refuse_foreign_files(self) -> None:
        for path in (*self._folders(), self.out / REPORT_FILE):
            if path.exists():
                raise ValueError(
                    f'{path} exists, but no {MANIFEST_FILE} says that this tool wrote it; '
                    'choose another folder for the pseudo labels'
                )

    def _clear(self, keep_predictions: bool) -> None:
        (self.out / REPORT_FILE).unlink(missing_ok=True)
        for folder in self._folders():
            if not (keep_predictions and folder.name == PREDICTION_FOLDER):
                shutil.rmtree(folder, ignore_errors=True)

    def _all_written(self) -> bool:
        paths = [pseudo_label_path, *([confidence_path] if self.confidence else [])]
        return all(
            path(self.out, name, date).is_file()
            for name in self.pairs.names
            for path in paths
            for date in DATES
        )

    def _predict(self, batches: list[list[int]]) -> None:
        rank, world = get_dist_info()
        ensemble = self._build()
        mine = batches[rank::world]
        loader: DataLoader[Any] = DataLoader(
            self.pairs, batch_sampler=mine, collate_fn=list, num_workers=self.workers
        )
        with _bar(sum(map(len, mine)), 'predicting', 'pair') as bar:
            for indices, loaded in zip(mine, loader, strict=True):
                made = predict_pairs(ensemble, loaded, self.method, self.transforms)
                for index, prediction in zip(indices, made, strict=True):
                    write_prediction(prediction_path(self.out, self.pairs.names[index]), prediction)
                bar.update(len(indices))

    def _build(self) -> Any:
        with DefaultScope.overwrite_default_scope('mmseg'), one_rank_reads():
            ensemble = MODELS.build(self.model)
        table = self.pairs.table
        if LAND_COVER_ROLE not in ensemble.trained_roles:
            raise ClassMismatchError(
                'the members were trained on change alone, so they can not label land cover; use '
                'checkpoints of trainings with land cover'
            )
        if ensemble.num_classes != table.num_classes:
            raise ClassMismatchError(
                f'the members have {ensemble.num_classes} land-cover classes, the data set '
                f'{table.num_classes}: {", ".join(table.land_cover)}; use the networks or the data '
                'set that fit'
            )
        if ensemble.trained_on is not None and ensemble.trained_on[1] != table.names:
            member, names = ensemble.trained_on
            raise ClassMismatchError(
                f'{member} was trained on the classes {", ".join(names)}; the data set has '
                f'{", ".join(table.names)}; use the networks or the data set that fit'
            )
        return ensemble.to(self.device)

    def _mine(self, what: str) -> Any:
        """Yield the pairs of this process with their predictions."""
        rank, world = get_dist_info()
        indices = range(rank, len(self.pairs), world)
        with _bar(len(indices), what, 'pair') as bar:
            for index in indices:
                yield index, read_prediction(prediction_path(self.out, self.pairs.names[index]))
                bar.update()

    def _levels(self) -> np.ndarray | None:
        """Return the threshold of each class; quotas take the confidences of all pairs."""
        if self.selection is None or self.selection.quota is None:
            return None if self.selection is None else self.selection.levels(self.pairs.table)
        classes = self.pairs.table.num_classes
        histogram = np.zeros((classes, LEVELS + 1), np.int64)
        for _, prediction in self._mine('quotas'):
            candidates = self._kept(prediction, np.zeros(classes, np.int64))
            histogram += confidence_histogram(candidates, prediction.confidence, classes)
        return self.selection.levels(self.pairs.table, _summed(histogram))

    def _kept(self, prediction: Prediction, levels: np.ndarray) -> np.ndarray:
        most = None if self.selection is None else self.selection.max_change_prob
        return keep(prediction.cover, prediction.confidence, levels, prediction.change, most)

    def _write_labels(self, levels: np.ndarray | None) -> Counts:
        classes = self.pairs.table.num_classes
        counts = Counts.zeros(classes, len(self.members))
        for index, prediction in self._mine('writing'):
            name = self.pairs.names[index]
            cover = prediction.cover if levels is None else self._kept(prediction, levels)
            annotations = (prediction.label_from, prediction.label_to)
            labels = tuple(fill(annotation, cover) for annotation in annotations)
            for date, annotation, label in zip(DATES, annotations, labels, strict=True):
                if self.confidence:
                    sure = np.where(annotation == 0, shares(prediction.confidence), np.uint8(255))
                    path = confidence_path(self.out, name, date)
                    write_png(path, np.where(label > 0, sure, np.uint8(0)))
                write_palette_png(
                    pseudo_label_path(self.out, name, date), label, self.pairs.table.palette
                )
            counts.add(prediction, labels, self._truth(index, labels[0].shape))
        return counts.unflatten(_summed(counts.flatten()))

    def _truth(self, index: int, size: tuple[int, ...]) -> Maps | None:
        truth = self.pairs.truth(index)
        for one in truth or ():
            if one.shape != size:
                raise LabelFormatError(
                    f'the true land cover of {self.pairs.names[index]} is {one.shape[1]} x '
                    f'{one.shape[0]} pixels (width x height), its images are {size[1]} x '
                    f'{size[0]}; they have to be equal'
                )
        return truth

    def _write_report(self, counts: Counts, levels: np.ndarray | None) -> dict[str, Any]:
        report = make_report(
            counts,
            self.pairs.table,
            self.method,
            [member['name'] for member in self.members],
            levels,
            dict(
                transforms=list(self.transforms),
                **({} if self.selection is None else self.selection.to_dict(self.pairs.table)),
            ),
        )
        with whole_file(self.out / REPORT_FILE) as partial:
            text = json_text(report)
            partial.write_text(text + '\n', encoding='utf-8')
        return report


def _summed(values: np.ndarray) -> np.ndarray:
    """Return whole numbers summed over the processes."""
    tensor = torch.from_numpy(values.copy())
    all_reduce(tensor)
    return tensor.numpy()


def _bar(total: int, what: str, unit: str) -> Any:
    """Return a progress bar with the time left, shown by the first process."""
    first = get_dist_info()[0] == 0
    return tqdm(total=total, desc=what, unit=unit, leave=False, disable=not first)
