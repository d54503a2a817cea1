"""The code that neural simulators share: CGNE, PNS and a third party's network.

states               state spaces: what a network needs to know of growth, labels, fields
schedules, params    the settings that a suite can make; neither imports torch
networks             the parts that networks are made of
conditioning         the parameters of a trajectory as inputs of a network
frames, batches      states made on the device; the order in which they are drawn
devices              the device and the arithmetic of a network
randomness           torch's generators, made from integers
gaussian             diagonal Gaussians: samples, densities, KL, free bits
likelihood           importance-weighted bounds on the likelihood
annealing            a tighter bound, by annealed importance sampling
guided               the bound that CGNE's authors publish, along guided unrolls
model                the base class of networks; latent-variable models in four methods
training             the one training loop
muon                 an optimizer that orthogonalises steps
averaging            the mean of late weights
checkpoint, weights  the state of a fit, and the weights that it learned, as files
curves               training curves, thinned
probing              the effect of a network's latents, measured from outside
simulator            the base class that makes a network a simulator
drawing              simulators whose states are decoded in one way alone
"""
