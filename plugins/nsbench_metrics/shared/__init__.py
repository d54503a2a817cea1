"""Code that several metrics have in common.

spec               a metric's spec, made from its classes
fields             parameters that several metrics take
comparison         ensembles of truths and rollouts, side by side
ensemble_mean      base class: the mean over ensembles
bootstrap          estimates with their intervals, by resampling ensembles
states             states as vectors, whatever kind they are
lead_times         states and observables at the frames after the start
observables        observables of a domain, by name
increments         growth of an observable from frame to frame
ranks              ranks of truths among the members of their ensembles
reliability_table  how often an event happened, by the probability that was said
distances          base class: the mean distance between truths and rollouts of like parameters
features           trajectories as vectors
directions         random directions of projection
descriptors        numbers that describe a shape
frechet            Fréchet distances between Gaussians
norms              Euclidean distances between many states at once
pieces             connected pieces of the attached sites
violations         base class: shares of sites that do what growth cannot do
latent_use         answers of latents, as the evidence holds them
figures            figures beside scores
"""
