"""KITTI and Pascal VOC: a folder with a label file for each image."""
