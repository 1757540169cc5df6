"""LivePortrait as a renderer: crop, keypoints, composition, paste-back around its networks."""
