// Beside each time in UTC: how long ago that was, and when it was here.

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

function ago(seconds) {
  if (Math.abs(seconds) < 1) return "now";
  const [unit, size] = UNITS.find(([, each]) => Math.abs(seconds) >= each);
  const length = `${Math.floor(Math.abs(seconds) / size)} ${unit}`;
  return seconds > 0 ? `${length} ago` : `in ${length}`;
}

export function tell(root = document) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const instant = new Date(time.dateTime);
    time.title = `${ago((Date.now() - instant) / 1000)} · ${instant.toLocaleString()} here · ${time.dateTime}`;
  }
}
