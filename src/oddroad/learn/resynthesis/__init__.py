"""Resynthesis: what does not look like what its classes would look like is anomalous.

A generator paints an image from the classes that a closed-set network sees; image and synthesis are compared. Three
methods stand on it, each a network around the closed-set network (``methods.py``). Modules in here take the networks
that they stand on as arguments; ``oddroad.learn.networks.resynthesised`` builds them by name.
"""
