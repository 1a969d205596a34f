"""How good classes of images or of pixels are."""

from __future__ import annotations

import numpy as np

from gradloom.cli.scores import Scores, classification_scores
from gradloom.data.images import Images
from gradloom.train import Trainer
from gradloom.train.preprocessing import probabilities_of

_CHUNK = 64


def rate(run: Trainer, images: Images) -> Scores:
    """Accuracy and cross-entropy; for pixels also the mean intersection over union.

    Args:
        run: the trained model.
        images: with their targets.
    """
    assert images.targets is not None, "images are rated by their targets"
    if not images.levels:
        return classification_scores(images.targets, probabilities_of(run.predict(images.inputs)))
    count = len(images.classes)
    confusion, entropy = np.zeros((count, count), np.int64), 0.0
    for start in range(0, len(images), _CHUNK):
        truth = images.targets[start : start + _CHUNK].reshape(-1).astype(np.int64)
        likely = probabilities_of(run.predict(images.inputs[start : start + _CHUNK]).reshape(-1, count))
        entropy += classification_scores(truth, likely)["cross_entropy"] * len(truth)
        confusion += _confusion(truth, likely.argmax(axis=1), count)
    return pixel_scores(confusion) | {"cross_entropy": entropy / images.targets.size}


def pixel_scores(confusion: np.ndarray) -> Scores:
    """Accuracy, and the mean over the classes of |both| / |either|, the intersection over union.

    Args:
        confusion: pixels by true and predicted class, shape (classes, classes); classes that occur in neither take no
            part.
    """
    both, either = np.diag(confusion), confusion.sum(axis=0) + confusion.sum(axis=1) - np.diag(confusion)
    present = either > 0
    return {
        "accuracy": float(both.sum() / confusion.sum()),
        "mean_iou": float((both[present] / either[present]).mean()),
    }


def baseline(training: Images, rated: Images) -> tuple[str, Scores]:
    """What a predictor says and gets that looks at no image: always the most frequent class.

    Args:
        training: tells the shares of the classes.
        rated: is predicted.
    """
    assert training.targets is not None, "there are targets to learn from"
    assert rated.targets is not None, "there are targets to rate by"
    count = len(training.classes)
    shares = np.bincount(training.targets.reshape(-1), minlength=count) / training.targets.size
    often = int(shares.argmax())
    name = f"always {training.classes[often]!r}"
    counts = np.bincount(rated.targets.reshape(-1), minlength=count)
    confusion = np.zeros((count, count), np.int64)
    confusion[:, often] = counts
    entropy = -float((counts * np.log(np.maximum(shares, np.finfo(np.float64).tiny))).sum()) / rated.targets.size
    scores = pixel_scores(confusion) if rated.levels else {"accuracy": float(counts[often] / len(rated))}
    return name, scores | {"cross_entropy": entropy}


def _confusion(truth: np.ndarray, predicted: np.ndarray, count: int) -> np.ndarray:
    return np.bincount(truth * count + predicted, minlength=count * count).reshape(count, count)
