"""What a program is: types, operations, nodes and graphs."""
