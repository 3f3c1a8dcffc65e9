"""Define the errors that this package raises on bad input.

Each is also the built-in error a caller would expect, so ``except ValueError``
keeps working. A message says what was found, what was expected, and the fix.
"""


class TFINetError(Exception):
    """Base class of every error this package raises on purpose."""


class UnmatchedPairError(TFINetError, FileNotFoundError):
    """A file has no partner of its name in another folder of the data set."""


class LabelFormatError(TFINetError, ValueError):
    """A label file's storage (index, palette, RGB, 0/1, 0/255) can't be read as labels."""


class LabelValueError(TFINetError, ValueError):
    """A label holds a class index or a colour that the class table doesn't have."""


class ImageFormatError(TFINetError, ValueError):
    """An image can't be read, or has other bands, bit depth or size than asked for."""


class ClassMismatchError(TFINetError, ValueError):
    """Two parts (model, data set, checkpoint) disagree about the land-cover classes."""


class MissingLabelsError(TFINetError, ValueError):
    """Labels are needed, to score or to train, and the data set has none."""


class ConfusionMatrixError(TFINetError, ValueError):
    """A confusion matrix isn't square, whole-numbered, or of a side that fits the classes."""


class SampleCountError(TFINetError, RuntimeError):
    """Not every sample of the data set was scored exactly once."""


class UntrustedCheckpointError(TFINetError, RuntimeError):
    """A checkpoint holds more than tensors and the few types MMEngine stores."""


class CheckpointMismatchError(TFINetError, RuntimeError):
    """A checkpoint holds the weights of another network than the config describes."""


class NormalisationError(TFINetError, ValueError):
    """Images have another normalisation or order of bands than a backbone's first weights."""


class MissingExtraError(TFINetError, ImportError):
    """An optional dependency is missing; the message names the extra to install."""


class StackError(TFINetError, RuntimeError):
    """MMEngine, MMCV or MMSegmentation is missing or can't work with the others.

    No ImportError: MMEngine's registries catch those when they meet the prefix
    ``tfinet_mm.``, and the user would read a KeyError in place of the message.
    """


class DamagedCheckpointError(TFINetError, RuntimeError):
    """A checkpoint file is cut off, was changed, or is no checkpoint at all."""


class ExportedFileError(TFINetError, ValueError):
    """A file isn't an exported network of this package, is damaged, or of a newer format."""


class ExportError(TFINetError, ValueError):
    """A network can't be exported as asked for: its parts, size, precision or format."""


class NotFiniteWeightsError(DamagedCheckpointError):
    """Weights that are read, or about to be saved, hold NaN or infinity."""


class RecipeError(TFINetError, ValueError):
    """A recipe can't be planned, or a stage is named that it doesn't have."""


class StageError(TFINetError, RuntimeError):
    """A stage of a recipe failed, or was done by another command than the one asked for now."""


class JobError(TFINetError, RuntimeError):
    """Jobs that Snakemake ran for a command failed; the message names each one and its log."""


class SceneError(TFINetError, ValueError):
    """Two georeferenced scenes can't be brought to one grid, or read as the network takes them."""


class RemoteFileError(TFINetError, OSError):
    """A file on another machine can't be read: no such address, no access, no answer."""


class AssessmentError(TFINetError, ValueError):
    """A sample of points can't be drawn, or its labels don't fit it."""


class ConfigError(TFINetError, ValueError):
    """A config can't be read, or has an unknown key or a value that can't be used."""


class ReportError(TFINetError, ValueError):
    """A report has no finished predictions, can't read them, or has an option out of range."""


class BatchSizeError(TFINetError, ValueError):
    """A network can't train on batches of this size, or no batch is left to train on."""


class TrainingDivergedError(TFINetError, FloatingPointError):
    """A loss or a weight of a training isn't finite any more."""


class ScheduleError(TFINetError, ValueError):
    """A resumed training would have a learning rate of 0."""


class ManifestError(TFINetError, ValueError, FileExistsError):
    """A folder holds results of other settings or inputs, or its manifest can't be read."""


class NoSpaceError(TFINetError, OSError):
    """The disk is full, or a limit on the size of files is reached."""


class FolderInUseError(TFINetError, BlockingIOError):
    """Another run is writing to the folder."""


class CalibrationError(TFINetError, ValueError):
    """P(changed) can't be calibrated: no fitting pairs, or a stored calibration is wrong."""
