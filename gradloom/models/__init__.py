"""Networks of the literature, ready to be trained.

Each is a function that returns a network of the layers of ``nn``, so that it can be saved, looked into and changed
like one's own.  All take images with channels last, (N, height, width, channels).
"""

from gradloom.models.alexnet import AlexNetSmall
from gradloom.models.lenet import LeNet5
from gradloom.models.resnet import ResNet
from gradloom.models.small_cnn import SmallCNN
from gradloom.models.speedrun import Speedrun, speedrun_recipe
from gradloom.models.unet import UNet
from gradloom.models.wide_resnet import WideResNet

__all__ = ["AlexNetSmall", "LeNet5", "ResNet", "SmallCNN", "Speedrun", "UNet", "WideResNet", "speedrun_recipe"]
