"""Words of table headers and of fields of records, by the column that they head."""

from collections.abc import Mapping
import re
import unicodedata

ROLE_OF_WORD: Mapping[str, str] = {
  **dict.fromkeys(
    (
      'id', 'ids', 'idx', 'index', 'value', 'pixel', 'pixel value', 'pixelvalue', 'mask value',
      'label value', 'class id', 'classid', 'class index', 'class number', 'class value',
      'label id', 'labelid', 'label index', 'category id', 'gray', 'grey', 'gray value',
      'grey value', 'number', 'no', 'nr', '#', 'code', 'train id', 'trainid', 'raw id', 'grid code',
      'gridcode',
      'wert', 'nummer', 'pixelwert', 'klassen id', 'grauwert', 'kennung',  # German
      'valeur', 'numéro', 'numero', 'indice', 'identifiant',  # French, Italian
      'valor', 'número', 'índice', 'código', 'valore', 'waarde', 'wartość', 'numer',
      'значение', 'номер', 'индекс', 'код', '编号', '序号', '值', '像素值', '标签值', '類別編號',
      '番号', '値', '번호', '값',
    ),
    'id',
  ),
  **dict.fromkeys(
    (
      'name', 'names', 'class name', 'classname', 'class names', 'classes', 'label name',
      'labelname', 'labels', 'category name', 'categories', 'title',
      'klasse', 'klassen', 'klassenname', 'bezeichnung', 'beschriftung', 'kategorie',  # German
      'nom', 'noms', 'étiquette', 'catégorie', 'nom de classe', 'nom de la classe',  # French
      'nombre', 'nombres', 'clase', 'clases', 'etiqueta', 'categoría',  # Spanish
      'nome', 'nomi', 'classi', 'etichetta', 'categoria',  # Italian, Portuguese
      'naam', 'klas', 'nazwa', 'klasa', 'klasy', 'имя', 'название', 'класс', 'классы', 'метка',
      '名称', '类别', '类别名称', '类名', '标签', '名稱', '類別', '標籤', '名前', 'クラス',
      'クラス名', 'ラベル', '이름', '클래스', '라벨',
    ),
    'name',
  ),
  **dict.fromkeys(('class', 'label', 'category', 'classe'), 'name or id'),
  **dict.fromkeys(('r', 'red', 'rot', 'rouge', 'rojo', 'rosso', 'vermelho', '红', '赤'), 'red'),
  **dict.fromkeys(('g', 'green', 'grün', 'gruen', 'vert', 'verde', '绿', '緑'), 'green'),
  **dict.fromkeys(('b', 'blue', 'blau', 'bleu', 'azul', 'blu', '蓝', '青'), 'blue'),
  **dict.fromkeys(
    ('color', 'colour', 'rgb', 'hex', 'rgb color', 'rgb colour', 'hex color', 'hex colour',
     'color code', 'colour code', 'color rgb', 'colour rgb', 'color hex', 'colour hex', 'r g b',
     'rgb value', 'rgb values', 'rgb code', 'farbe', 'farbcode', 'farbe rgb', 'couleur', 'colore',
     'cor', 'kleur', 'kolor', 'цвет', '颜色', '顏色', '色', '색상'),
    'color',
  ),
}  # fmt: skip


def find_role(word: str) -> str:
  """Returns the role of a column or field by its name, '' if the name is not known.

  Example:
    >>> find_role('Pixel Value'), find_role('class-name'), find_role('Farbe (RGB)')
    ('id', 'name', 'color')
  """
  return ROLE_OF_WORD.get(normalize_word(word), '')


def normalize_word(word: str) -> str:
  """Returns a word in lower case, with blanks for marks: 'class_ID.' is 'class id'."""
  text = unicodedata.normalize('NFC', word).lower()
  return ' '.join(re.sub(r'[-_:()\[\].,]', ' ', text).split())
