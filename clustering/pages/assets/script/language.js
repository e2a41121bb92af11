// Texts in their own languages, and the language that a reader wishes for.
import { make } from "./dom.js";

// A headline in its own language and direction, whatever stands around it.
export function inItsLanguage(text, language, tag = "bdi") {
  const node = make(tag, text);
  node.dir = "auto";
  if (language) node.lang = language;
  return node;
}
// The language of these titles that the reader's browser wishes for first, then what the pages are set to; or undefined.
export function wishedOf(titles, wanted) {
  const tags = [...navigator.languages, ...wanted].map((tag) => tag.split("-")[0].toLowerCase());
  return tags.find((tag) => Object.hasOwn(titles, tag));
}
