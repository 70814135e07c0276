"""The command line: one file a verb; verbs import what they need when they are called."""
