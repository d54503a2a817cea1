"""How a number is made: four stages, each a function from what came before to an artifact in the store.

workshop    what every stage works with, and the one way to an artifact
prepare     data: the trajectories of a split
fit         model: what a simulator learns from train and val data
simulate    evidence: what it does on the test cases
score       score: a metric holds the evidence against the truth
measuring   the fair protocol: rollouts, likelihoods, latents and costs, measured
probing     what a simulator's latents do
nulls       null models: climatology, persistence
anchors     what stands beside a score, and gives it its scale
"""
