/** Reading QR codes with what the browser has: its camera and its own detector, or pictures of its own. */

import { pause } from "./agreement.js";
import { t } from "./texts.js";
import { button, el, field } from "./ui.js";

const LOOK_MS = 200;

export function canScan() {
  return "BarcodeDetector" in globalThis;
}

/** An element that scans; `accept` is given each text that is seen until it returns true. */
export function scan(accept, trouble, signal) {
  const detector = new globalThis.BarcodeDetector({ formats: ["qr_code"] });
  const shown = { class: "camera", playsinline: true, muted: true, hidden: true };
  const video = el("video", { ...shown, "aria-label": t("scanCamera") });
  const picture = field(t("scanPicture"), { type: "file", accept: "image/*", name: "picture" });
  picture.input.addEventListener("change", async () => {
    const [chosen] = picture.input.files;
    const [found] = await createImageBitmap(chosen).then((image) => detector.detect(image)).catch(() => []);
    trouble.textContent = found === undefined ? t("scanNothing") : "";
    if (found !== undefined) {
      accept(found.rawValue);
    }
  });
  const look = button(t("scanCamera"), () => watch(video, detector, accept, trouble, signal), { class: "main" });
  return el("div", {}, look, video, picture.row);
}

async function watch(video, detector, accept, trouble, signal) {
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch {
    trouble.textContent = t("cameraRefused");
    return;
  }
  video.hidden = false;
  video.srcObject = stream;
  await video.play();
  let isDone = false;
  while (!isDone && !signal.aborted && video.isConnected) {
    const [found] = await detector.detect(video).catch(() => []);
    isDone = found !== undefined && accept(found.rawValue);
    await pause(LOOK_MS);
  }
  stream.getTracks().forEach((track) => track.stop());
}
