"""Files of other people: folders, delimited text, and what single cells say. No TensorFlow here."""
