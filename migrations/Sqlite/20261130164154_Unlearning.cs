using System;
using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace Portal.Data.Sqlite
{
    /// <inheritdoc />
    public partial class Unlearning : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.CreateTable(
                name: "UnlearningRequests",
                columns: table => new
                {
                    Id = table.Column<Guid>(type: "TEXT", nullable: false),
                    ProjectId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Number = table.Column<int>(type: "INTEGER", nullable: false),
                    ExplanationId = table.Column<Guid>(type: "TEXT", nullable: false),
                    RewardModelId = table.Column<Guid>(type: "TEXT", nullable: false),
                    DatasetVersionId = table.Column<Guid>(type: "TEXT", nullable: false),
                    Method = table.Column<int>(type: "INTEGER", nullable: false),
                    Reason = table.Column<string>(type: "TEXT", maxLength: 2000, nullable: false),
                    Judgements = table.Column<int>(type: "INTEGER", nullable: false),
                    JudgementsOf = table.Column<int>(type: "INTEGER", nullable: false),
                    PreviewJson = table.Column<string>(type: "TEXT", nullable: false),
                    RequestedBy = table.Column<Guid>(type: "TEXT", nullable: false),
                    RequestedAt = table.Column<long>(type: "INTEGER", nullable: false),
                    State = table.Column<int>(type: "INTEGER", nullable: false),
                    FirstApprover = table.Column<Guid>(type: "TEXT", nullable: true),
                    FirstApprovedAt = table.Column<long>(type: "INTEGER", nullable: true),
                    DecidedBy = table.Column<Guid>(type: "TEXT", nullable: true),
                    DecidedAt = table.Column<long>(type: "INTEGER", nullable: true),
                    DecisionNote = table.Column<string>(type: "TEXT", maxLength: 2000, nullable: true),
                    JobId = table.Column<Guid>(type: "TEXT", nullable: true),
                    VersionId = table.Column<Guid>(type: "TEXT", nullable: true),
                    RepairJobId = table.Column<Guid>(type: "TEXT", nullable: true),
                    OutcomeJson = table.Column<string>(type: "TEXT", nullable: true),
                    RowVersion = table.Column<int>(type: "INTEGER", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_UnlearningRequests", x => x.Id);
                    table.ForeignKey(
                        name: "FK_UnlearningRequests_Explanations_ExplanationId",
                        column: x => x.ExplanationId,
                        principalTable: "Explanations",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                    table.ForeignKey(
                        name: "FK_UnlearningRequests_ModelVersions_RewardModelId",
                        column: x => x.RewardModelId,
                        principalTable: "ModelVersions",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateTable(
                name: "UnlearningPairs",
                columns: table => new
                {
                    RequestId = table.Column<Guid>(type: "TEXT", nullable: false),
                    JudgementId = table.Column<Guid>(type: "TEXT", nullable: false)
                },
                constraints: table =>
                {
                    table.PrimaryKey("PK_UnlearningPairs", x => new { x.RequestId, x.JudgementId });
                    table.ForeignKey(
                        name: "FK_UnlearningPairs_UnlearningRequests_RequestId",
                        column: x => x.RequestId,
                        principalTable: "UnlearningRequests",
                        principalColumn: "Id",
                        onDelete: ReferentialAction.Restrict);
                });

            migrationBuilder.CreateIndex(
                name: "IX_UnlearningPairs_JudgementId",
                table: "UnlearningPairs",
                column: "JudgementId");

            migrationBuilder.CreateIndex(
                name: "IX_UnlearningRequests_ExplanationId",
                table: "UnlearningRequests",
                column: "ExplanationId");

            migrationBuilder.CreateIndex(
                name: "IX_UnlearningRequests_ProjectId_Number",
                table: "UnlearningRequests",
                columns: new[] { "ProjectId", "Number" },
                unique: true);

            migrationBuilder.CreateIndex(
                name: "IX_UnlearningRequests_RewardModelId",
                table: "UnlearningRequests",
                column: "RewardModelId");

            migrationBuilder.CreateIndex(
                name: "IX_UnlearningRequests_VersionId",
                table: "UnlearningRequests",
                column: "VersionId");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.DropTable(
                name: "UnlearningPairs");

            migrationBuilder.DropTable(
                name: "UnlearningRequests");
        }
    }
}
