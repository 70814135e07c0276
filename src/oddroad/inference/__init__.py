"""An exported detector and the engines that run it; imports nothing of detection or calibration."""
