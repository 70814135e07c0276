"""The verbs of the command line, each one short function; they import what they need when they are called."""
