"""What systems are, and what they did: the data that flows.

domain       the facts of a system
base         what trajectories of every kind have in common
growth       irreversible growth: when each site attached
fields       dense fields, frame by frame
lattices     who is whose neighbour
morphology   area, boundary and front of what has attached
bins         equal bins over the range of a number
plane        sites of a lattice as pixels of a plane
ensembles    which trajectories are draws of one distribution
hdf5         trajectories as HDF5 files
"""
