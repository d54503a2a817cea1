"""The four stages of a trial; each is a function from earlier artifacts to an artifact in the store.

workshop       the tools that every stage works with, and the one way to obtain an artifact
agreement      what is made is held against its key: code, data, and what was opened
prepare        data: the trajectories of a split
holdout        which cases lie in held-out regions, and a score inside and outside of them
fit            model: a simulator fitted on train and val data
simulate       evidence: the simulator run on the test cases
score          score: a metric's comparison of the evidence with the truth
measuring      the fair protocol by which rollouts, likelihoods and the use of latents are measured, and then costs
costs          the costs of a simulator, measured after everything else
keeper         what long work hands its finished batches to
parts          the parts of unfinished evidence, in which another sitting finds them
probing        a simulator's use of its latents
guided         the bound that CGNE's authors publish, where a suite asks for it
annealing      a tighter bound on its likelihood, where a suite asks for it
nulls          null models: best-deterministic, analogue, climatology, persistence
null_evidence  evidence: the rollouts of null models, and of the truth drawn once more
sources        the files behind the digests of code in keys, kept in the store
anchors        the scores of ground truth and null models, which give a score its scale
"""
