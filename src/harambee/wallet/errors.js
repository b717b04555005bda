/** The wallet could not do what it was asked; `code` names the sentence, in both languages. */
export class HandsetError extends Error {
  constructor(code, detail = "") {
    super(`${code} ${detail}`.trim());
    this.code = code;
    this.detail = detail;
  }
}
