from multistar._compat import shield_torchvision

shield_torchvision()  # before anything here imports timm
