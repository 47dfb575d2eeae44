"""Files of class names: one reader for the formats that people have.

reader.py            `read_class_file`, and `FORMATS`
class_table.py       `ClassTable`: names, colours and ids in masks, checked
names.py             distinguishes names of classes from other text
words.py             names that mean void or background
discovery.py         `find_class_file`: the class file of a directory
text.py              encodings, lines, comments
text_table.py        names one a line, tables with ids and colours; columns.py, words_table.py
header_words.py      words of headers and fields: id, name, colour, in several languages
json_file.py         JSON; yaml_file.py YAML; records.py finds the classes in their values
labelmap.py          labelmap.txt of CVAT
label_map_pbtxt.py   label_map.pbtxt of TensorFlow
"""
