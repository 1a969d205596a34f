"""What a trained model says of new examples."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradloom import data
from gradloom.errors import OptionError
from gradloom.nn.losses import Loss
from gradloom.train.examples import as_inputs
from gradloom.train.inputs import InputType, check_inputs, only_input
from gradloom.train.measuring import Forward
from gradloom.train.preprocessing import Predictions, Preprocessing, predictions
from gradloom.train.step import gives_probabilities
from gradloom.train.views import mean_of_views


class Predicting:
    """The part of a trainer that predicts."""

    loss: Loss
    preprocessing: Preprocessing | None
    dtype: str
    input_type: InputType | None
    _forward: Forward

    def predict(self, inputs: Any, *, augment: int | str | None = None) -> np.ndarray:
        """The model's outputs (logits or values), in predict mode.

        Args:
            inputs: shape (n, ...); several in a dict or a tuple, as in training.
            augment: for images: give the mean of the outputs over views of each image, "mirror" (itself and its
                mirror image), "flips" (left and right, top and bottom, both), "turns" (by multiples of 90 degrees),
                "all" (these eight) or a number of them.  Outputs for every pixel are turned back before.

        Returns:
            Outputs, shape (n, ...).

        Raises:
            DataError: no rows, values that are not finite numbers, or examples of another shape than in training.
            OptionError: the model has no parameters yet.
            ShapeError: views are asked for of what is no image, or turns of images that are not square.
        """
        x = as_inputs(inputs, "predict", self.dtype)
        check_inputs(x, self.input_type, "predict")
        if augment is None:
            return self._forward(x)
        only_input(self.input_type, "predict(augment=...)")
        return mean_of_views(self._forward, x, augment)

    def predict_table(self, table: data.Table) -> Predictions:
        """Predictions for the rows of a table, in the target's own terms.

        Args:
            table: with the columns that the model was trained on, in any order.

        Raises:
            OptionError: the model was not trained from a table.
            DataError: columns are missing, or cells are not what they were in training.
        """
        made = self.preprocessing
        if made is None or made.features is None or made.target is None:
            raise OptionError(
                "predict_table",
                rule="the model must have been trained from a table",
                got="no preprocessing",
                fix="Prepare the inputs as those of training were, and call predict.",
            )
        outputs, notes = self.predict(made.features.transform(table)), made.features.unused(table)
        return predictions(outputs, made.target, notes, from_logits=not gives_probabilities(self.loss))
