"""The Python API: the verbs as functions and objects for programs and notebooks, the same for all apps."""
