"""Pictures of boxes and arrows, for graphs and for explanations; it knows neither tensors nor operations.

In the order in which a picture is made: ``picture`` (boxes and arrows), ``layering`` (which box lies in which row, and
in which order), ``layout`` (where exactly, and how arrows run), ``svg`` (one picture), ``page`` (many, in one page).
"""
