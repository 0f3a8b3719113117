"""One module per format of labelled road images: each turns files into entries, ``checking`` into frames."""
