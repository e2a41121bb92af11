// What the page holds: its headlines, a row each, and its stories.
import { $, make, root } from "./dom.js";
import { inItsLanguage, wishedOf } from "./language.js";
import { read } from "./read.js";
import { when } from "./words.js";

export const data = await read($("data"));
export const count = data.x.length;
export const stories = data.stories;
export const storyOf = new Map(stories.map((story) => [story.number, story]));
export const rowsOf = new Map(); // story -> rows
data.label.forEach((label, row) => {
  if (label < 0) return;
  if (!rowsOf.has(label)) rowsOf.set(label, []);
  rowsOf.get(label).push(row);
});

export const BINS = 48; // of the window's time
export const begin = data.begin;
export const end = Math.max(data.end, begin + 1);
export const timeOf = (bin) => begin + ((end - begin) * bin) / BINS;
export const binOf = (ms) => Math.min(BINS - 1, Math.max(0, Math.floor(((ms - begin) / (end - begin)) * BINS)));

const titleLanguage = new Map(data.title.map((title, row) => [title, data.languages[data.language[row]] || ""]));
export const sourceOf = (row) => data.sources[data.source[row]] || "";
export const languageOf = (row) => data.languages[data.language[row]] || "";
export const origin = (row) => [sourceOf(row), when(data.time[row]), languageOf(row)].filter(Boolean).join(" · ");

export const dark = () => root.dataset.theme === "dark";
// A story's colour follows from its number alone; the table comes with the data.
export function colour(number) {
  const table = data.colours[root.dataset.theme];
  return number < 0 ? table.noise : table.stories[number % table.stories.length];
}
export const tints = () => data.colours[root.dataset.theme]; // colours of the theme in use
// A story's title and its language: where the reader's is not among them, its most central headline.
export function titleOf(story) {
  const tag = wishedOf(story.titles, data.wanted);
  if (tag !== undefined) return { text: story.titles[tag], language: tag };
  return { text: story.title, language: titleLanguage.get(story.title) || story.languages[0] };
}
export function storyTitle(story) {
  const { text, language } = titleOf(story);
  return inItsLanguage(text, language);
}
export const headlineLink = (row) => linkTo(data.url[row], inItsLanguage(data.title[row], languageOf(row)));
export function linkTo(url, text) {
  const node = make(/^https?:\/\//i.test(url) ? "a" : "span");
  node.append(text);
  if (node.tagName === "A") {
    node.href = url;
    node.rel = "noopener noreferrer";
    node.target = "_blank";
  }
  return node;
}
