"""Systems and their trajectories: the data that passes from stage to stage.

domain       the facts of a system
base         the base class of trajectories of every kind
growth       growth: when each site attached
dense        states in an array, frame by frame
labels       one of K labels at every site
fields       real numbers at every site
kinds        the kinds of states, and what holds each
stored       dense fields that stay in their files
lattices     the neighbours of each site
morphology   area, boundary and front of what has attached
bins         equal bins over the range of a number
plane        sites of a lattice as pixels of a plane
ensembles    groups of trajectories that are draws of one distribution
hdf5         trajectories as HDF5 files
foreign_hdf5 HDF5 files of others, opened with care
"""
