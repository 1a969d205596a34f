"""Training: the trainer, its callbacks, model files."""

from gradloom.train.callbacks import Callback, Checkpoint, EarlyStopping
from gradloom.train.checkpoint import read_header
from gradloom.train.history import History
from gradloom.train.loading import load
from gradloom.train.preprocessing import Predictions, Preprocessing
from gradloom.train.source import Stream
from gradloom.train.tensorboard import TensorBoard
from gradloom.train.tiling import predict_tiles, tile_overlap
from gradloom.train.trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "History",
    "Predictions",
    "Preprocessing",
    "Stream",
    "TensorBoard",
    "Trainer",
    "load",
    "predict_tiles",
    "read_header",
    "tile_overlap",
]
