"""The ground truth: dendrites by Kobayashi's phase field, solved fine and shown coarse, as dataset and simulator."""
