"""The primitives, one record each: type rule, NumPy meaning, derivative, transpose, batch rule, test domain."""
