"""The ground truth: growth in gusts of wind, whose law of a step is known exactly, as dataset and simulator."""
