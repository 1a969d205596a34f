"""A run as one HTML page that needs nothing else.

In the order in which it is made: ``blocks`` (what a section consists of), the sections (``overview``, ``learning``,
``quality``, ``inputs``, ``network``, ``origin``, ``diagnosis``), ``assemble`` (which of them a run has),
``render`` (the template ``page.html`` filled in).
"""
