// A measurement of the seams, opened in the page.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { demoMesh } from "../mock/records";
import { expect, section, test } from "./page";

const SAMPLE = fileURLToPath(new URL("../../coverage.jsonl", import.meta.url));
const AT = "/seams?tab=tests";

test("a measurement is opened by keyboard, told row by row, and there again after a reload", async ({
  visit,
}) => {
  const { page } = await visit(demoMesh(), "/seams");
  await page.getByRole("tab", { name: "Live" }).focus();
  await page.keyboard.press("ArrowRight");
  await expect(page.getByText("No measurement was opened yet")).toBeVisible();
  const field = page.getByLabel("Open a file");
  await field.focus();
  const chooser = page.waitForEvent("filechooser");
  await page.keyboard.press("Enter");
  await (await chooser).setFiles(SAMPLE);
  const table = page.getByRole("table", { name: "Coverage of the ledger" });
  await expect(table.locator("tr[data-row]")).toHaveCount(3);
  // What has a hole stands first.
  await expect(table.locator("tr[data-row]").first()).toContainText("only by its cap");
  await expect(table.locator("tr[data-row]").last()).toContainText("noticed");
  await expect(page.locator(".share", { hasText: "deafness noticed" })).toContainText("2 of 3");
  await expect(page.locator(".share", { hasText: "holes" })).toContainText("2");
  await expect(page.getByText("event_stream/secret/registry>hub")).toBeVisible();

  await page.reload();
  await expect(page.getByText("coverage.jsonl")).toBeVisible();
  await page.getByRole("searchbox").fill("task_assign");
  await expect(table.locator("tr[data-row]")).toHaveCount(1);
  await expect(page).toHaveURL(/q=task_assign/);
  await table.getByRole("button", { name: "signaling task_assign" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog")).toContainText("mesh::work::a_task_is_run");
  await page.keyboard.press("Escape");
  await expect(table.getByRole("button", { name: "signaling task_assign" })).toBeFocused();
});

test("a measurement is dropped on the page", async ({ visit }) => {
  const { page } = await visit(demoMesh(), AT);
  const held = await page.evaluateHandle(
    (text) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([text], "dropped.jsonl"));
      return transfer;
    },
    readFileSync(SAMPLE, "utf8"),
  );
  const place = section(page, "Open a measurement");
  await place.dispatchEvent("dragover", { dataTransfer: held });
  await expect(place).toHaveClass(/drop--over/);
  await place.dispatchEvent("drop", { dataTransfer: held });
  await expect(page.getByText("dropped.jsonl")).toBeVisible();
  await expect(page.locator("tr[data-row]")).toHaveCount(3);
});

test("a file that is none says why, and what was opened before stays", async ({ visit }) => {
  const { page } = await visit(demoMesh(), AT);
  const open = (name: string, text: string) =>
    page.getByLabel("Open a file").setInputFiles({ name, mimeType: "text/plain", buffer: Buffer.from(text) });
  const alert = page.getByRole("alert");
  await open("table.txt", "row  vectors  tests");
  await expect(alert).toContainText("table.txt: Line 1 is not JSON");
  await page.getByLabel("Open a file").setInputFiles(SAMPLE);
  await expect(alert).toHaveCount(0);
  await open("big.jsonl", "x".repeat(5_000_000));
  await expect(alert).toContainText("bytes are more than such a file has");
  await expect(page.locator("tr[data-row]")).toHaveCount(3);
});

test("a hostile measurement is shown as text", async ({ visit }) => {
  const { page } = await visit(demoMesh(), AT);
  const markup = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
  const nasty = `${markup}\u202Egnp.exe \uD800`;
  const [first = "", ...rest] = readFileSync(SAMPLE, "utf8").trim().split("\n");
  const line = JSON.parse(first);
  line.row.kind = nasty;
  line.row.producer = nasty;
  line.tests = [nasty, "y".repeat(100_000)];
  line.verdicts.deaf.test = nasty;
  await page.getByLabel("Open a file").setInputFiles({
    name: `${markup}.jsonl`,
    mimeType: "text/plain",
    buffer: Buffer.from([JSON.stringify(line), ...rest].join("\n")),
  });
  await page.locator("tr[data-row]").last().getByRole("button").click();
  await expect(page.getByRole("dialog")).toContainText("onerror");
  await page.getByRole("dialog").getByRole("tab", { name: "JSON" }).click();
  await expect(page.getByRole("dialog").getByText("more characters.")).toBeVisible();
  await expect(page.locator("main img, main script, dialog img, dialog script")).toHaveCount(0);
  await expect(page).toHaveTitle("seamesh hub");
});

test("what sidecars say is counted by kind, with what comes now", async ({ visit }) => {
  const { page, registry } = await visit(demoMesh(), "/seams");
  const cells = page
    .getByRole("table", { name: "Signaling seams" })
    .getByRole("row", { name: /offer/ })
    .getByRole("cell");
  await expect(cells.nth(2)).toHaveText("10");
  await expect(cells.nth(1)).toHaveText("–");
  registry.metrics = registry.metrics.replace('{kind="offer"} 10', '{kind="offer"} 400');
  await page.getByRole("button", { name: "Read again" }).click();
  await expect(cells.nth(1)).toHaveText(/[1-9][\d,.]*\/s$/);
  await expect(page.getByRole("table", { name: "Signaling seams" })).not.toContainText("goodbye");
});
