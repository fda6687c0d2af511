// A Caesar cipher for crows: letters move `shift` places along the alphabet, everything else stays where it sits.

const ALPHABET = "abcdefghijklmnopqrstuvwxyz";

export const encode = (text, shift) => [...text].map((letter) => move(letter, shift)).join("");

export const decode = (text, shift) => encode(text, -shift);

function move(letter, shift) {
  const place = ALPHABET.indexOf(letter.toLowerCase());
  if (place < 0) return letter;
  // The remainder of a negative number is negative here, unlike in Python.
  const size = ALPHABET.length;
  const moved = ALPHABET[(((place + shift) % size) + size) % size];
  return letter === letter.toLowerCase() ? moved : moved.toUpperCase();
}
