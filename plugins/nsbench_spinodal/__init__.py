"""The ground truth: spinodal decomposition by the equation of Cahn, Hilliard and Cook, as dataset and simulator."""
