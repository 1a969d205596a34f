"""How well whole trainings end, beside PyTorch's with the same recipe: ``python -m benchmarks.accuracy``.

A recipe is trained by both from the same first parameters on the same images, each in a process of its own.  Only
the draws of order and augmentation differ; ``--check`` shows that an update without them is the same.  It takes an
hour, so ``make bench`` leaves it out.
"""
