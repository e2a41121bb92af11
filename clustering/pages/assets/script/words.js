// Numbers, times and texts as the page says them.
const clock = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

const zoned = new Intl.DateTimeFormat(undefined, { timeZoneName: "short" });
// The reader's zone as it is called at a time: summer time has another name.
export const zoneAt = (ms) => zoned.formatToParts(new Date(ms)).find(({ type }) => type === "timeZoneName").value;
export const when = (ms) => clock.format(new Date(ms));
export const said = (number) => number.toLocaleString();
export const several = (number, thing, things = `${thing}s`) => `${said(number)} ${number === 1 ? thing : things}`;
// Without case and accents, as texts are compared; `folded` of newstide_app/queries/words.py does the same.
export const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/ς/g, "σ").replace(/ß/g, "ss");

export function shorten(text, most) {
  const letters = Array.from(text);
  return letters.length > most ? letters.slice(0, most - 1).join("").trimEnd() + "…" : text;
}
export function languageName(tag) {
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(tag) || tag;
  } catch {
    return tag;
  }
}
