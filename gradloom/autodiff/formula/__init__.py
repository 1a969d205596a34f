"""Formulas: from a graph to an expression that a person recognises.

In reading order: ``expression`` (what a formula is), ``algebra`` (sums, products and powers in canonical form),
``functions`` (elementwise functions), ``reductions`` (sums over indices), ``simplify`` (expanding, factoring,
choosing), ``reading`` (from the nodes of a graph), ``layout`` (fractions, products of matrices), ``writing`` (text
and LaTeX), ``evaluate`` (numbers).
"""
