"""What neural simulators of growth share: CGNE, PNS and a third party's network.

schedules, params    what a suite can set; neither imports torch
layers, resampling   residual blocks and perceptrons; maps made smaller and larger
conditioning         the parameters of a trajectory as inputs of a network
frames, batches      states made from growth maps on the device; which of them make a batch
devices              where a network runs, and with which arithmetic
randomness           torch's generators from numbers
gaussian             diagonal Gaussians: samples, densities, KL, free bits
likelihood           the growth likelihood and its importance-weighted bounds
model                what a network must be able to do; latent-variable models in four methods
rollouts             trajectories drawn from a network
training             the one training loop
averaging            the mean of late weights
checkpoint, weights  a fit that goes on; what it learned, as files
curves               training curves, thinned
probing              what a network's latents do, asked from outside
simulator            the base class that makes a network a simulator
"""
