"""Image -> Portrait: detectors, landmarks, crop, matte, face mesh and its 3-D fit."""
