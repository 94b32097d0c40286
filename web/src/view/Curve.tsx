/** A curve of the last minutes, filled down to nothing. The number beside it says the same to who cannot see it. */

const WIDTH = 240;
const HEIGHT = 40;

interface Props {
  points: number[];
  /** How many points the whole width has room for. */
  places: number;
}

export function Curve({ points, places }: Props) {
  const highest = Math.max(...points, 0);
  const x = (at: number) => WIDTH - ((points.length - 1 - at) * WIDTH) / (places - 1);
  const y = (point: number) => HEIGHT - 1 - (highest > 0 ? (point / highest) * (HEIGHT - 3) : 0);
  const line = points.map((point, at) => `${x(at).toFixed(1)},${y(point).toFixed(1)}`).join(' ');
  return (
    <svg class="curve" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
      {points.length > 1 && (
        <>
          <polygon points={`${x(0).toFixed(1)},${HEIGHT} ${line} ${WIDTH},${HEIGHT}`} />
          <polyline points={line} />
        </>
      )}
    </svg>
  );
}
