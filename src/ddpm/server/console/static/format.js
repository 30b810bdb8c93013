// Numbers, durations and times as people read them.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const CLOCK = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const FULL = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });

const LONGEST_FULL_NUMBER = 9_999_999;

/** A count, with separators; compact where it would be very long. */
export function count(value) {
  return Math.abs(value) > LONGEST_FULL_NUMBER ? COMPACT.format(value) : WHOLE.format(value);
}

/** An exact whole number: offsets. */
export function exact(value) {
  return WHOLE.format(value);
}

/** Records per second, without the unit. */
export function rate(value) {
  return value > 0 && value < 9.95 ? TENTHS.format(Math.max(value, 0.1)) : count(value);
}

/** `1 replica`, `3 replicas`. */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** A duration in its two largest units. */
export function duration(seconds) {
  if (seconds < 0.05) {
    return "0 s";
  }
  if (seconds < 9.95) {
    return `${TENTHS.format(seconds)} s`;
  }
  return longDuration(Math.round(seconds));
}

/** A duration in whole seconds: for ages, which tick. */
export function age(seconds) {
  return longDuration(Math.max(0, Math.floor(seconds)));
}

function longDuration(seconds) {
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  const first = Math.max(0, units.findIndex(([, size]) => seconds >= size));
  if (seconds < 1) {
    return "0 s";
  }
  const [unit, size] = units[first];
  const text = `${Math.floor(seconds / size)} ${unit}`;
  const next = units[first + 1];
  const rest = next === undefined ? 0 : Math.floor((seconds % size) / next[1]);
  return rest > 0 ? `${text} ${rest} ${next[0]}` : text;
}

/** The time of day; with the day when it is not today. */
export function clock(time, now) {
  const date = new Date(time);
  const today = date.toDateString() === new Date(now).toDateString();
  return today ? CLOCK.format(date) : `${DAY.format(date)}, ${CLOCK.format(date)}`;
}

/** The whole date and time, with its zone. */
export function full(time) {
  return FULL.format(new Date(time));
}
