"""The command line: the only place that wires data, networks and the trainer together."""
