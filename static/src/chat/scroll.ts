// Keeps the end of the conversation in view, unless the reader scrolled up to read.

const NEAR_PX = 80;

export class Scroll {
  private isFollowing = true;
  private lastTop = 0;

  constructor(
    private readonly box: HTMLElement,
    private readonly toLatest: HTMLElement,
  ) {
    box.addEventListener("scroll", () => this.noticed(), { passive: true });
    toLatest.addEventListener("click", () => this.toEnd());
    new ResizeObserver(() => this.follow()).observe(box);
  }

  /** After the content grew. */
  follow(): void {
    if (this.isFollowing) this.box.scrollTop = this.box.scrollHeight;
    this.lastTop = this.box.scrollTop;
    this.toLatest.hidden = this.isFollowing || this.isNearEnd();
  }

  toEnd(): void {
    this.isFollowing = true;
    this.follow();
  }

  private noticed(): void {
    const hasMovedUp = this.box.scrollTop < this.lastTop;
    if (this.isNearEnd() && !hasMovedUp) this.isFollowing = true;
    else if (hasMovedUp) this.isFollowing = this.isNearEnd(1);
    this.lastTop = this.box.scrollTop;
    this.toLatest.hidden = this.isFollowing || this.isNearEnd();
  }

  private isNearEnd(near = NEAR_PX): boolean {
    return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight <= near;
  }
}
