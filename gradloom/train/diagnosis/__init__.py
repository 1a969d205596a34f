"""The doctor: what ails a training run, what that was measured by, and what to do.

In the order in which a diagnosis goes: ``case`` (all that is examined), ``probe`` (what goes on in each layer, measured
in one compiled program), ``courses`` (short trainings in another), the checks, one idea a file (``leakage``, ``drift``,
``scales``, ``labels``, ``structure``, ``units``, ``flow``, ``rates``, ``restraint``, ``loss``, ``bias_variance``,
``curves``), ``causes`` (which finding explains which), ``diagnose``.  A check is a function from the case to findings
(``finding``).
"""
