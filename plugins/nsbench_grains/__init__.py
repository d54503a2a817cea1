"""The ground truth: grains that coarsen by the Potts model, as dataset and simulator."""
