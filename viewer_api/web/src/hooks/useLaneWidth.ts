import { useState } from "react";
import { stored } from "../storage";

const KEY = "spanflow.lane";
const USUAL = 0.42;

/** How much of a tree's width its waterfall takes, as chosen in this browser. */
export function useLaneWidth(): [number, (share: number) => void] {
  const [lane, setLane] = useState(() => {
    const kept = Number(stored(() => localStorage.getItem(KEY)));
    return kept > 0 && kept < 1 ? kept : USUAL;
  });
  const change = (share: number) => {
    setLane(share);
    stored(() => localStorage.setItem(KEY, share.toFixed(3)));
  };
  return [lane, change];
}
