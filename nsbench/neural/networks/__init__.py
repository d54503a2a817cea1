"""The parts that networks are made of. Maps are [b, C, H, W].

layers      residual blocks, group norm, perceptrons
resampling  maps made smaller and larger
padding     what lies beyond the last site, as a convolution sees it
unet        a UNet of three levels, modulated by a vector where it is given one
fourier     the Fourier neural operator, for periodic lattices
embeddings  a time or noise level, and parameters, as such a vector
"""
